-- one row per value of each dimension: loop, team, user, role, agent, model, run, item, day, and one row for the total
-- Where did the money go?
-- unique: dimension, key
-- A key is NULL for what has none: no item in a heartbeat's own work, no model in a tool call. A cost is NULL where
-- no call's cost is known: an unknown price is not zero. The user is the owner of the loop, an agent is named within it.
WITH named AS (SELECT *, loop || '/' || agent AS agent_of FROM spend)
SELECT
  CASE
    WHEN grouping(loop) = 0 THEN 'loop'
    WHEN grouping(team) = 0 THEN 'team'
    WHEN grouping("owner") = 0 THEN 'user'
    WHEN grouping(role) = 0 THEN 'role'
    WHEN grouping(agent_of) = 0 THEN 'agent'
    WHEN grouping(model) = 0 THEN 'model'
    WHEN grouping(run) = 0 THEN 'run'
    WHEN grouping(item) = 0 THEN 'item'
    WHEN grouping(day) = 0 THEN 'day'
    ELSE 'total'
  END AS dimension,
  coalesce(loop, team, "owner", role, agent_of, model, run, item, day::VARCHAR) AS key,
  count(*) FILTER (kind = 'model') AS model_calls,
  count(*) FILTER (kind <> 'model') AS other_calls,
  coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens,
  coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
  known_usd(cost_usd) AS cost_usd,
  known_usd(list_cost_usd) AS list_cost_usd,
  count(*) FILTER (cost_status = 'unpriced') AS unpriced_calls,
  count(*) FILTER (cost_status = 'undeclared') AS undeclared_calls,
  count(*) FILTER (cost_status = 'unknown') AS unknown_calls,
  coalesce(sum(reserved_usd) FILTER (cost_status = 'unknown'), 0) AS unknown_usd_at_most
FROM named
GROUP BY GROUPING SETS ((loop), (team), ("owner"), (role), (agent_of), (model), (run), (item), (day), ())
ORDER BY dimension, cost_usd DESC NULLS LAST, key
