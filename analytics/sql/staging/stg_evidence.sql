-- one row per thing established about a tree of an item
-- What did verifiers and checkers say?
-- unique: item, nth
SELECT item, nth, kind, tree, verdict, "by" AS said_by FROM src_evidence
