-- one row per work item of the loop asked for, with its outcome
-- What became of each item: accepted and delivered, done, or stopped, and why?
-- unique: item
-- Accepted is no agent's word: by the latest verdicts one tree passed verifier and checker, and it was pushed or delivered.
WITH latest AS (
  SELECT item, tree, kind, arg_max(verdict, nth) AS verdict FROM stg_evidence GROUP BY item, tree, kind
),
accepted AS (
  SELECT DISTINCT v.item
  FROM latest v
  JOIN latest c ON c.item = v.item AND c.tree = v.tree
  WHERE v.kind = 'verified' AND v.verdict = 'passed'
    AND c.kind = 'checked' AND c.verdict = 'accept'
),
delivered AS (
  SELECT DISTINCT item
  FROM stg_spans
  WHERE status = 'done' AND error_type IS NULL AND (kind = 'push' OR lane = 'deliver')
)
SELECT
  i.*,
  i.status = 'done' AND a.item IS NOT NULL AND d.item IS NOT NULL AS is_accepted,
  CASE
    WHEN i.status = 'done' AND a.item IS NOT NULL AND d.item IS NOT NULL THEN 'accepted'
    WHEN i.status = 'stopped' THEN coalesce('stopped: ' || i.stop_reason, 'stopped')
    ELSE i.status
  END AS outcome
FROM stg_items i
LEFT JOIN accepted a ON a.item = i.item
LEFT JOIN delivered d ON d.item = i.item
WHERE getvariable('loop') IS NULL OR i.loop = getvariable('loop')
