-- one row per loop and model of priced calls
-- What did the prompt cache save, after what writing to it cost?
-- unique: loop, model
-- Saved is the input at its plain price, less the input as it was charged: reads cheaper, writes dearer.
SELECT
  loop,
  model,
  sum(input_tokens)::BIGINT AS input_tokens,
  sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
  sum(
    token_usd(cache_read_tokens, price_input_mtok)
    - token_usd(cache_read_tokens, price_cache_read_mtok)
  ) AS reads_saved_usd,
  sum(
    token_usd(cache_write_5m_tokens, price_cache_write_5m_mtok)
    + token_usd(cache_write_1h_tokens, price_cache_write_1h_mtok)
    - token_usd(cache_write_5m_tokens + cache_write_1h_tokens, price_input_mtok)
  ) AS writes_cost_usd,
  sum(
    token_usd(cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, price_input_mtok)
    - token_usd(cache_read_tokens, price_cache_read_mtok)
    - token_usd(cache_write_5m_tokens, price_cache_write_5m_mtok)
    - token_usd(cache_write_1h_tokens, price_cache_write_1h_mtok)
  ) AS saved_usd
FROM spend
WHERE kind = 'model' AND cost_status = 'priced'
GROUP BY loop, model
ORDER BY saved_usd DESC, loop, model
