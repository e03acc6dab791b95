-- one row per settled try of an effect, of the loop and since the day that was asked for
-- What is every number of this report about?
-- unique: span_id
SELECT *
FROM stg_spans
WHERE (getvariable('loop') IS NULL OR loop = getvariable('loop'))
  AND (getvariable('since') IS NULL OR day >= getvariable('since'))
