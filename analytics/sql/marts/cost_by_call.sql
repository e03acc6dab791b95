-- one row per settled try of an effect, as `cost_by` would count it
-- Which single calls did the money go to?
-- unique: key
-- The key is the effect's, as `loops trace` names it, with the number of a try that was not the first.
SELECT
  'call' AS dimension,
  coalesce(p.item, p.run) || '-' || p.round || '-' || p.lane
  || '-' || (s.attributes ->> '$."loop.step"') || '-' || (s.attributes ->> '$."loop.ordinal"')
  || CASE WHEN s.loop_attempt > 1 THEN ' try ' || s.loop_attempt ELSE '' END AS key,
  p.loop,
  p.name AS call,
  strftime(p.started_at, '%Y-%m-%dT%H:%M:%S.%gZ') AS began_at,
  (p.kind = 'model')::INT AS model_calls,
  (p.kind <> 'model')::INT AS other_calls,
  p.input_tokens,
  p.output_tokens,
  p.cost_usd,
  p.list_cost_usd,
  (p.cost_status = 'unpriced')::INT AS unpriced_calls,
  (p.cost_status = 'undeclared')::INT AS undeclared_calls,
  (p.cost_status = 'unknown')::INT AS unknown_calls,
  CASE WHEN p.cost_status = 'unknown' THEN p.reserved_usd ELSE 0 END AS unknown_usd_at_most
FROM spend p
JOIN src_spans s ON s.span_id = p.span_id
ORDER BY cost_usd DESC NULLS LAST, key
