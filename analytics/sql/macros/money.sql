-- Money stays decimal: DuckDB divides decimals into doubles, so no money is ever under a `/`.

-- What so many tokens cost at a price in USD per million; exact up to 999,999,999,999 tokens and prices of 8 decimals.
CREATE MACRO token_usd(tokens, usd_mtok) AS
  tokens::DECIMAL(12, 0) * usd_mtok::DECIMAL(14, 8) * 0.000001::DECIMAL(6, 6);

-- An amount shared by n, rounded down to a whole pico-USD; NULL when there is nobody to share it.
CREATE MACRO usd_each(usd, n) AS
  CASE WHEN n > 0 THEN
    ((usd::DECIMAL(25, 12) * 1000000000000::DECIMAL(13, 0))::HUGEINT // n)::DECIMAL(26, 0)
    * 0.000000000001::DECIMAL(12, 12)
  END;

-- A sum of costs: 0 over no calls, and NULL where calls were made and the cost of none is known.
CREATE MACRO known_usd(usd) AS CASE WHEN count(*) = 0 THEN 0 ELSE sum(usd) END;
