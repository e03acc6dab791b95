-- one row per conversation of an agent (the `invoke_agent` span its leaves hang from)
-- What did each conversation come to, its calls added up?
-- unique: span_id
SELECT
  parent_span_id AS span_id,
  any_value(trace_id) AS trace_id,
  'invoke_agent ' || any_value(agent) AS name,
  any_value(loop) AS loop,
  any_value(run) AS run,
  any_value(item) AS item,
  any_value(agent) AS agent,
  any_value(role) AS role,
  any_value(round) AS round,
  min(started_at) AS started_at,
  max(ended_at) AS ended_at,
  count(*) FILTER (kind = 'model') AS model_calls,
  sum(input_tokens + output_tokens)::BIGINT AS tokens,
  known_usd(cost_usd) AS cost_usd
FROM spend
GROUP BY parent_span_id
