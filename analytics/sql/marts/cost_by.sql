-- one row per value of each dimension: loop, role, model, item, day, and one row for the total
-- Where did the money go?
-- unique: dimension, key
-- A key is NULL for what has none: no item in a heartbeat's own work, no model in a tool call. A cost is NULL where
-- no call's cost is known: an unknown price is not zero.
SELECT
  CASE
    WHEN grouping(loop) = 0 THEN 'loop'
    WHEN grouping(role) = 0 THEN 'role'
    WHEN grouping(model) = 0 THEN 'model'
    WHEN grouping(item) = 0 THEN 'item'
    WHEN grouping(day) = 0 THEN 'day'
    ELSE 'total'
  END AS dimension,
  coalesce(loop, role, model, item, day::VARCHAR) AS key,
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
FROM spend
GROUP BY GROUPING SETS ((loop), (role), (model), (item), (day), ())
ORDER BY dimension, cost_usd DESC NULLS LAST, key
