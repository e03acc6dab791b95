-- one row per loop, and one (loop NULL) for all together
-- What did one accepted delivery cost, with everything that led to none?
-- unique: loop
-- The cost is that of all work since the day asked for: failed, refused, stopped, heartbeats. NULL when none was accepted.
WITH closed AS (
  SELECT * FROM items
  WHERE getvariable('since') IS NULL OR closed_at >= getvariable('since') OR closed_at IS NULL
),
money AS (
  SELECT
    loop,
    known_usd(cost_usd) AS cost_usd,
    count(*) AS calls,
    count(*) FILTER (cost_status = 'unpriced') AS unpriced_calls,
    count(*) FILTER (cost_status = 'unknown') AS unknown_calls
  FROM spend
  GROUP BY GROUPING SETS ((loop), ())
),
ends AS (
  SELECT
    loop,
    count(*) FILTER (is_accepted) AS accepted,
    count(*) FILTER (status = 'done' AND NOT is_accepted) AS done_unproven,
    count(*) FILTER (status = 'stopped') AS stopped,
    count(*) FILTER (status NOT IN ('done', 'stopped')) AS open
  FROM closed
  GROUP BY GROUPING SETS ((loop), ())
)
SELECT
  coalesce(m.loop, e.loop) AS loop,
  CASE WHEN m.calls IS NULL THEN 0 ELSE m.cost_usd END AS cost_usd,
  coalesce(e.accepted, 0) AS accepted,
  usd_each(CASE WHEN m.calls IS NULL THEN 0 ELSE m.cost_usd END, coalesce(e.accepted, 0)) AS cost_per_accepted_usd,
  coalesce(e.done_unproven, 0) AS done_unproven,
  coalesce(e.stopped, 0) AS stopped,
  coalesce(e.open, 0) AS open,
  coalesce(m.unpriced_calls, 0) AS unpriced_calls,
  coalesce(m.unknown_calls, 0) AS unknown_calls
FROM money m
FULL JOIN ends e ON e.loop IS NOT DISTINCT FROM m.loop
ORDER BY cost_usd DESC NULLS LAST, loop
