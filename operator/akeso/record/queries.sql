-- Every statement of the ledger. Each has a name, and a sentence that says what it does.
-- Times come in as parameters; lists come in as JSON, so that a batch of any size is one statement.

-- name: save_alerts
-- Takes in a batch of alerts: upserts signals, creates runs of firing ones, wakes the runs of resolved ones.
with incoming as (
    select * from jsonb_to_recordset(%(signals)s::jsonb) as i(
        id uuid, source text, fingerprint text, starts_at timestamptz, ends_at timestamptz, firing boolean,
        labels jsonb, annotations jsonb, generator_url text, group_key text, receiver text,
        deliveries int, matched text[])
), saved as (
    insert into signal as s (id, source, fingerprint, starts_at, ends_at, labels, annotations, generator_url,
        group_key, receiver, first_seen, last_seen, resolved_at, deliveries, matched)
    select id, source, fingerprint, starts_at, ends_at, labels, annotations, generator_url, group_key, receiver,
        %(now)s, %(now)s, case when firing then null else %(now)s::timestamptz end, deliveries, matched
    from incoming order by id
    on conflict (id) do update set
        last_seen = greatest(s.last_seen, excluded.last_seen),
        deliveries = s.deliveries + excluded.deliveries,
        resolved_at = case when excluded.resolved_at is null then null else coalesce(s.resolved_at, excluded.resolved_at) end,
        ends_at = excluded.ends_at,
        annotations = excluded.annotations,
        generator_url = excluded.generator_url,
        group_key = excluded.group_key,
        receiver = excluded.receiver,
        matched = case when s.matched @> excluded.matched then s.matched
                  else array(select distinct m from unnest(s.matched || excluded.matched) as m order by m) end
    returning s.id, s.xmax = 0 as new
), created as (
    insert into run (id, name, namespace, signal_id, workflow_key, trigger, workflow, agent, wake_at, created_at)
    select r.id, r.name, r.namespace, r.signal_id, r.workflow_key, r.trigger, d.workflow, d.agent, %(now)s, %(now)s
    from jsonb_to_recordset(%(runs)s::jsonb) as r(
        id uuid, name text, namespace text, signal_id uuid, workflow_key text, trigger text, definition int)
    join jsonb_to_recordset(%(definitions)s::jsonb) as d(n int, workflow jsonb, agent jsonb) on d.n = r.definition
    order by r.id
    on conflict do nothing
    returning id, signal_id
), woken as (
    update run set wake_at = least(wake_at, %(now)s)
    where not terminal and signal_id in (select id from incoming where not firing)
    returning id, signal_id
)
select id as signal_id, new, null::uuid as run_id from saved
union all select signal_id, false, id from created
union all select signal_id, false, id from woken;

-- name: signal
-- One signal by its id.
select * from signal where id = %(id)s;

-- name: signals_for_fingerprints
-- The episodes of these fingerprints, newest first; of one source, or of any where source is null.
select * from signal
where fingerprint = any(%(fingerprints)s) and (%(source)s::text is null or source = %(source)s)
order by starts_at desc, id;

-- name: mark_resolved_absent
-- Resolves the signals of a source that its Alertmanager no longer lists, and wakes their runs. A signal seen after
-- the list was read is left alone.
with absent as (
    select id from signal
    where source = %(source)s and resolved_at is null and last_seen <= %(now)s
      and fingerprint <> all(%(still_firing)s)
    order by id for update
), resolved as (
    update signal set resolved_at = %(now)s where id in (select id from absent) returning id
), woken as (
    update run set wake_at = least(wake_at, %(now)s)
    where not terminal and signal_id in (select id from absent) returning id
)
select id from resolved;

-- name: note_signal
-- Writes down why a signal did not become a run.
update signal set note = %(note)s where id = %(id)s;

-- name: note
-- The note of a signal.
select note from signal where id = %(id)s;

-- name: beat_heartbeat
-- An always-firing alert of this source was seen; time never goes back.
insert into heartbeat as h (source, last_seen) values (%(source)s, %(now)s)
on conflict (source) do update set last_seen = greatest(h.last_seen, excluded.last_seen);

-- name: heartbeats
-- When each source was last heard.
select source, last_seen from heartbeat order by source;

-- name: beat
-- This replica is alive; time never goes back.
insert into replica as r (id, started_at, beat) values (%(id)s, %(now)s, %(now)s)
on conflict (id) do update set beat = greatest(r.beat, excluded.beat);

-- name: claim
-- Takes due runs, runs whose holder fell silent, and runs that this holder holds without knowing it (the reply to an
-- earlier claim or release was lost). The wake-up is consumed here, so that one that arrives while the
-- run is held is not lost at release.
with due as (
    select id from run
    where not terminal and holder is null and wake_at is not null and wake_at <= %(now)s
    order by wake_at limit %(limit)s
    for update skip locked
), orphaned as (
    select r.id from run r left join replica p on p.id = r.holder
    where not r.terminal and r.holder is not null
      and (coalesce(p.beat, r.held_at) < %(silent_since)s or r.holder = %(holder)s and r.id <> all(%(held)s::uuid[]))
    order by r.held_at limit %(limit)s
    for update of r skip locked
), taken as (
    update run set epoch = epoch + 1, holder = %(holder)s, held_at = %(now)s, wake_at = null
    where id in (select id from orphaned union all select id from due limit %(limit)s)
    returning *
)
select t.*, (select jsonb_agg(to_jsonb(s) order by s.ordinal, s.name) from step s where s.run_id = t.id) as steps
from taken t order by t.created_at, t.id;

-- name: release
-- Lets a run go until wake_at, or until somebody wakes it where that is null; only the newest holder can.
update run set holder = null, held_at = null, wake_at = least(wake_at, %(wake_at)s)
where id = %(id)s and epoch = %(epoch)s
returning id;

-- name: save
-- Writes what happened in a run, its steps and its story, for the newest holder only. Its end frees its targets, and so
-- does waiting for a person: a waiting run holds nothing, and the gates are judged again after the answer.
with fenced as (
    update run set
        version    = version + 1,
        phase      = coalesce(c.patch->>'phase', phase),
        reason     = coalesce(c.patch->>'reason', reason),
        message    = coalesce(c.patch->>'message', message),
        target     = case when c.patch ? 'target' then nullif(c.patch->'target', 'null') else target end,
        target_key = case when c.patch ? 'target' then c.patch->>'target_key' else target_key end,
        started_at = case when c.patch ? 'started_at' then (c.patch->>'started_at')::timestamptz else started_at end,
        ended_at   = case when c.patch ? 'ended_at' then (c.patch->>'ended_at')::timestamptz else ended_at end
    from (select %(patch)s::jsonb as patch) c
    where run.id = %(id)s and run.epoch = %(epoch)s
    returning run.id, run.terminal or run.phase = 'WaitingForApproval' as lets_go
), steps as (
    insert into step (run_id, name, ordinal, phase, reason, message, attempts, started_at, ended_at, data)
    select f.id, s.name,
        (select coalesce(max(ordinal), 0) from step where run_id = %(id)s) + s.ordinal,
        s.phase, s.reason, s.message, s.attempts, s.started_at, s.ended_at, s.data
    from fenced f, jsonb_to_recordset(%(steps)s::jsonb) as s(
        name text, ordinal int, phase text, reason text, message text, attempts int,
        started_at timestamptz, ended_at timestamptz, data jsonb)
    on conflict (run_id, name) do update set
        phase = excluded.phase, reason = excluded.reason, message = excluded.message, attempts = excluded.attempts,
        started_at = excluded.started_at, ended_at = excluded.ended_at, data = excluded.data
), lines as (
    insert into story (run_id, at, kind, reason, message)
    select f.id, l.at, l.kind, l.reason, l.message
    from fenced f, jsonb_to_recordset(%(story)s::jsonb) as l(n int, at timestamptz, kind text, reason text, message text)
    order by l.n
    on conflict do nothing
), freed as (
    delete from target_lock where run_id in (select id from fenced where lets_go)
)
select id from fenced;

-- name: unshown
-- Runs whose WorkflowRun does not show their newest version, oldest first.
select id from run where shown <> version order by created_at limit %(limit)s;

-- name: version
-- The version of a run: read it before the run, so that a change in between is drawn again.
select version from run where id = %(id)s;

-- name: mark_shown
-- Its WorkflowRun shows this version now; a newer one stays to be drawn.
update run set shown = greatest(shown, %(version)s) where id = %(id)s;

-- name: wake
-- Makes a waiting run due now; a run that ended stays ended.
update run set wake_at = least(wake_at, %(now)s) where id = %(id)s and not terminal;

-- name: run
-- One run with its steps, by its id.
select r.*, (select jsonb_agg(to_jsonb(s) order by s.ordinal, s.name) from step s where s.run_id = r.id) as steps
from run r where r.id = %(id)s;

-- name: run_named
-- One run with its steps, by the name of its WorkflowRun object.
select r.*, (select jsonb_agg(to_jsonb(s) order by s.ordinal, s.name) from step s where s.run_id = r.id) as steps
from run r where r.namespace = %(namespace)s and r.name = %(name)s;

-- name: lock_target
-- Locks a target for a run, or says which run holds it; the update that changes nothing returns the row in one step.
with held as (
    insert into target_lock as l (target_key, run_id)
    select %(target_key)s, id from run where id = %(run_id)s and not terminal
    on conflict (target_key) do update set since = l.since
    returning l.run_id
)
select held.run_id = %(run_id)s::uuid as mine, run.name from held join run on run.id = held.run_id;

-- name: target_holder
-- The run that holds a target now, by its name.
select r.name from target_lock l join run r on r.id = l.run_id where l.target_key = %(target_key)s;

-- name: intend
-- Commits an intention of the newest holder, or returns the one that is already there under this action id.
with fenced as (
    select id from run where id = %(run_id)s and epoch = %(epoch)s for no key update
)
insert into intent as i (action_id, run_id, step, epoch, action, target_key, plan, state, message)
select %(action_id)s, id, %(step)s, %(epoch)s, %(action)s, %(target_key)s, %(plan)s::jsonb, %(state)s, %(message)s
from fenced
on conflict (action_id) do update set action_id = i.action_id
returning *;

-- name: settle
-- Writes the end of an intention; an end is final.
update intent set state = %(state)s, message = %(message)s, settled_at = %(now)s
where action_id = %(action_id)s and state = 'Intent';

-- name: intents
-- The intentions of a run, oldest first.
select * from intent where run_id = %(run_id)s order by created_at, action_id;

-- name: save_evidence
-- Keeps what a decision looked at; gathering again replaces it.
insert into evidence (run_id, facts, snapshot) values (%(run_id)s, %(facts)s::jsonb, %(snapshot)s::jsonb)
on conflict (run_id) do update set facts = excluded.facts, snapshot = excluded.snapshot, gathered_at = excluded.gathered_at;

-- name: evidence
-- What the decision of a run looked at.
select facts, snapshot, gathered_at from evidence where run_id = %(run_id)s;

-- name: story
-- The story of a run, line by line.
select at, kind, reason, message from story where run_id = %(run_id)s order by seq;

-- name: past_actions
-- What was done to a target since then, newest first, and how it ended.
select i.created_at as at, r.workflow_key as workflow, i.action, i.target_key as target,
    case when i.state = 'Failed' then 'Failed'
         when s.phase = 'Succeeded' then 'Verified'
         when s.phase in ('RolledBack', 'Failed', 'Escalated') then s.phase
         else 'Pending' end as outcome
from intent i join run r on r.id = i.run_id left join step s on s.run_id = i.run_id and s.name = i.step
where i.target_key = %(target_key)s and i.created_at >= %(since)s and i.state in ('Intent', 'Applied', 'Failed')
    and (%(except_run)s::uuid is null or i.run_id <> %(except_run)s::uuid)
order by i.created_at desc, i.action_id;

-- name: actions_of_agent
-- How many changes runs under that Agent made since then; what was refused or found already so does not count.
select count(*) as actions from intent i join run r on r.id = i.run_id
where r.agent->>'namespace' = %(namespace)s and r.agent->>'name' = %(name)s and i.created_at >= %(since)s
    and i.state in ('Intent', 'Applied');

-- name: workflow_stats
-- Counts of a Workflow's runs, its newest run and its newest success.
select
    count(*) filter (where not terminal) as active,
    count(*) filter (where phase = 'Succeeded') as succeeded,
    count(*) filter (where phase in ('Failed', 'RolledBack')) as failed,
    max(ended_at) filter (where phase = 'Succeeded') as last_success,
    (array_agg(name order by created_at desc, id))[1] as last_name,
    (array_agg(phase order by created_at desc, id))[1] as last_phase,
    (array_agg(coalesce(started_at, created_at) order by created_at desc, id))[1] as last_start
from run where workflow_key = %(workflow_key)s;

-- name: recent_runs
-- The newest runs with their steps.
select r.*, (select jsonb_agg(to_jsonb(s) order by s.ordinal, s.name) from step s where s.run_id = r.id) as steps
from run r order by r.created_at desc, r.id limit %(limit)s;

-- name: counts_by_phase
-- How many runs are in each phase.
select phase, count(*) as runs from run group by phase;

-- name: queue_depth
-- Runs that are due and that nobody holds.
select count(*) as due from run
where not terminal and holder is null and wake_at is not null and wake_at <= %(now)s;
