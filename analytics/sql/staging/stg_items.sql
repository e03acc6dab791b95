-- one row per work item
-- What was found, and where does it stand?
-- unique: item
SELECT
  item,
  loop,
  run,
  status,
  stop_reason,
  rounds,
  lives,
  awake_ms,
  epoch_ms(found_at_ms)::TIMESTAMP AS found_at,
  epoch_ms(closed_at_ms)::TIMESTAMP AS closed_at
FROM src_items
