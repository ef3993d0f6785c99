-- What the Kubernetes API shows of a run: the last version of the run that was drawn. "pre": the default makes old code
-- keep working, since it never reads the columns.
alter table run add column version bigint not null default 0;   -- grows with every saved change
alter table run add column shown   bigint not null default -1;  -- the version that its WorkflowRun shows
create index run_unshown on run (created_at) where shown <> version;
