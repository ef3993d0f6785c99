-- The ledger. "pre": runs before the new code starts; the old code must be able to run on the new schema.

create table signal (
    id            uuid primary key,              -- derived from (source, fingerprint, starts_at): known before the insert
    source        text not null,
    fingerprint   text not null,
    starts_at     timestamptz not null,
    labels        jsonb not null,
    annotations   jsonb not null,
    generator_url text not null default '',
    group_key     text not null default '',
    receiver      text not null default '',
    first_seen    timestamptz not null,
    last_seen     timestamptz not null,
    resolved_at   timestamptz,
    ends_at       timestamptz,
    deliveries    int not null default 1,
    matched       text[] not null default '{}',
    note          text not null default '',
    unique (source, fingerprint, starts_at)
);
create index signal_fingerprint on signal (fingerprint);
create index signal_firing on signal (source) where resolved_at is null;

create table run (
    id           uuid primary key,
    name         text not null,
    namespace    text not null,
    signal_id    uuid not null references signal on delete cascade,
    workflow_key text not null,
    trigger      text not null,
    workflow     jsonb not null,
    agent        jsonb not null,
    phase        text not null default 'Pending',
    terminal     boolean not null generated always as
                 (phase not in ('Pending', 'Running', 'WaitingForApproval', 'Verifying')) stored,
    epoch        bigint not null default 0,
    holder       text,
    held_at      timestamptz,
    wake_at      timestamptz,
    created_at   timestamptz not null,
    started_at   timestamptz,
    ended_at     timestamptz,
    target       jsonb,
    target_key   text,
    reason       text not null default '',
    message      text not null default '',
    unique (signal_id, workflow_key),
    unique (namespace, name)
);
-- Claiming reads these two only: neither grows with finished runs, nor with runs that wait for somebody.
create index run_due on run (wake_at) where not terminal and holder is null and wake_at is not null;
create index run_held on run (holder) where not terminal and holder is not null;
create index run_workflow on run (workflow_key, created_at desc);
create index run_recent on run (created_at desc);

create table step (
    run_id     uuid not null references run on delete cascade,
    name       text not null,
    ordinal    int not null,
    phase      text not null,
    reason     text not null,
    message    text not null,
    attempts   int not null,
    started_at timestamptz,
    ended_at   timestamptz,
    data       jsonb not null,
    primary key (run_id, name)
);

create table intent (
    action_id  text primary key,
    run_id     uuid not null references run on delete cascade,
    step       text not null,
    epoch      bigint not null,
    action     text not null,
    target_key text not null,
    plan       jsonb not null,
    state      text not null,
    message    text not null default '',
    created_at timestamptz not null default now(),
    settled_at timestamptz
);
create index intent_run on intent (run_id);
create index intent_target on intent (target_key, created_at desc);

create table evidence (
    run_id      uuid primary key references run on delete cascade,
    facts       jsonb not null,
    snapshot    jsonb not null,
    gathered_at timestamptz not null default now()
);

create table story (
    run_id  uuid not null references run on delete cascade,
    seq     bigint generated always as identity,
    at      timestamptz not null,
    kind    text not null,
    reason  text not null,
    message text not null,
    primary key (run_id, seq)
);
-- The same line twice is a repeated write, not a second event.
create unique index story_line on story (run_id, at, md5(kind || ' ' || reason || ' ' || message));

create table target_lock (
    target_key text primary key,
    run_id     uuid not null references run on delete cascade,
    since      timestamptz not null default now()
);
create index target_lock_run on target_lock (run_id);

create table replica (
    id         text primary key,
    started_at timestamptz not null,
    beat       timestamptz not null
);

create table heartbeat (
    source    text primary key,
    last_seen timestamptz not null
);
