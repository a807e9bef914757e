-- Queries whose answers are held against SQLite with the same rows loaded by another path: one a line.
-- What polars' SQL answered wrongly or refused.
SELECT sum(1) FROM runs
SELECT sum(1), count(*), count(1), total(1) FROM runs
SELECT count(*) FROM runs
SELECT count(*) FROM history
SELECT count(*) FROM latents
SELECT count(*) FROM stability
SELECT penalty FROM runs WHERE test_mse IS NOT NULL GROUP BY penalty ORDER BY avg(test_mse)
SELECT penalty, count(*) FROM runs GROUP BY penalty ORDER BY count(*), penalty
SELECT penalty FROM runs GROUP BY penalty ORDER BY count(*) DESC, penalty
SELECT min(seed), max(seed) FROM runs
SELECT min(test_mse), max(test_mse), min(test_l0), max(test_l0) FROM runs
SELECT r.seed, h.epoch, h.test_mse FROM runs r JOIN history h ON r.run_id = h.run_id AND h.epoch > 2 ORDER BY r.run_id, h.epoch
SELECT count(*) FROM runs a JOIN runs b ON a.penalty = b.penalty AND a.seed < b.seed
SELECT run_id FROM runs r WHERE EXISTS (SELECT 1 FROM history h WHERE h.run_id = r.run_id AND h.epoch = 3) ORDER BY run_id
SELECT run_id FROM runs r WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.run_id = r.run_id) ORDER BY run_id
SELECT run_id, test_mse FROM runs WHERE test_mse < (SELECT avg(test_mse) FROM runs) ORDER BY test_mse, run_id
SELECT run_id FROM runs WHERE test_mse = (SELECT min(test_mse) FROM runs) ORDER BY run_id
SELECT run_id, rank() OVER (ORDER BY test_mse) FROM runs ORDER BY run_id
SELECT penalty, seed, rank() OVER (PARTITION BY penalty ORDER BY seed) AS r FROM runs ORDER BY run_id
SELECT seed FROM runs EXCEPT SELECT seed FROM runs WHERE seed < 3
SELECT sum(DISTINCT seed), count(DISTINCT seed), avg(DISTINCT seed) FROM runs
-- Arithmetic.
SELECT 7 / 2, 7 / 2.0, 7 % 3, -7 / 2, -7 % 3
SELECT 1e3, 1.5e-3, 2E5, .5, 1 + 1e-3
SELECT 1 / 0, 1.0 / 0, NULL + 1
SELECT 1 = 1, 1 <> 1, 2 > 1, NULL = NULL, NULL IS NULL
SELECT 9223372036854775807, -9223372036854775808
SELECT 9223372036854775807 + 1
SELECT 5 & 3, 5 | 3, 1 << 10, ~0
SELECT 'a' || 'b', 'a' || NULL, 1 || 2
SELECT true, false, NOT true
SELECT seed * 2 AS double, seed / 2 AS half, seed / 2.0 AS exact FROM runs ORDER BY run_id
SELECT round(test_mse, 3), round(test_mse) FROM runs ORDER BY run_id
SELECT abs(-3), abs(-3.5), sign(-2), sign(0.0)
SELECT sqrt(2), ln(10), log10(100), log2(8), exp(1), pow(2, 10), pi()
SELECT ceil(1.2), floor(-1.2), trunc(1.9), mod(7, 3)
SELECT sqrt(-1), ln(0)
SELECT penalty_lambda * 1e3 AS x FROM runs WHERE penalty_lambda > 1.5e-1 ORDER BY run_id
SELECT CAST('12' AS INTEGER), CAST('1.5x' AS REAL), CAST(1.9 AS INTEGER), CAST(5 AS TEXT)
SELECT typeof(seed), typeof(test_mse), typeof(penalty), typeof(reason), typeof(in_experiment) FROM runs ORDER BY run_id LIMIT 3
-- Selecting.
SELECT * FROM runs ORDER BY run_id
SELECT * FROM history ORDER BY run_id, epoch
SELECT * FROM latents ORDER BY run_id, latent
SELECT * FROM stability
SELECT r.* FROM runs r WHERE r.seed = 1 ORDER BY r.run_id
SELECT run_id, seed FROM runs ORDER BY run_id LIMIT 5
SELECT run_id, seed FROM runs ORDER BY run_id LIMIT 5 OFFSET 3
SELECT run_id FROM runs ORDER BY run_id DESC LIMIT 2
SELECT DISTINCT penalty FROM runs ORDER BY penalty
SELECT DISTINCT penalty, status FROM runs ORDER BY 1, 2
SELECT experiment, count(*) AS n FROM runs GROUP BY experiment ORDER BY experiment
SELECT experiment, count(*) AS n FROM history GROUP BY experiment ORDER BY experiment
SELECT experiment, count(*) AS n FROM latents GROUP BY experiment ORDER BY experiment
SELECT experiment, count(*) AS n FROM stability GROUP BY experiment ORDER BY experiment
SELECT seed AS "a name with spaces" FROM runs ORDER BY seed, run_id
SELECT "seed" FROM runs ORDER BY "run_id"
SELECT [seed], `penalty` FROM runs ORDER BY run_id
SELECT SEED, Penalty FROM RUNS ORDER BY RUN_ID
SELECT count(*) FROM Runs
SELECT count(*) FROM main."HISTORY" AS h
WITH runs AS (SELECT 1 UNION ALL SELECT 2) SELECT count(*) FROM runs
SELECT 1 FROM stability, (SELECT count(*) FROM history)
select run_id from runs where seed=2 order by run_id
SELECT run_id FROM runs WHERE seed = 2 -- and not more
SELECT /* a remark */ count(*) FROM runs;
SELECT 1 WHERE 0
SELECT run_id, test_mse, in_experiment, seed FROM runs WHERE seed > 1000
VALUES (1, 'a'), (2, 'b')
SELECT column1 + 1 FROM (VALUES (1), (2))
-- Conditions.
SELECT run_id FROM runs WHERE penalty = 'l1' AND seed IN (1, 2, 3) ORDER BY run_id
SELECT run_id FROM runs WHERE penalty <> 'l1' OR seed = 0 ORDER BY run_id
SELECT run_id FROM runs WHERE seed BETWEEN 2 AND 4 ORDER BY run_id
SELECT run_id FROM runs WHERE penalty LIKE 'k%' ORDER BY run_id
SELECT run_id FROM runs WHERE penalty NOT LIKE 'k%' ORDER BY run_id
SELECT run_id FROM runs WHERE penalty GLOB '*sparse' ORDER BY run_id
SELECT run_id FROM runs WHERE reason IS NULL ORDER BY run_id
SELECT run_id, reason FROM runs WHERE reason IS NOT NULL ORDER BY run_id
SELECT run_id FROM runs WHERE penalty_k IS NULL ORDER BY run_id
SELECT run_id FROM runs WHERE penalty_k = 5 ORDER BY run_id
SELECT run_id FROM runs WHERE penalty_k = '5' ORDER BY run_id
SELECT run_id FROM runs WHERE penalty_k = 5.0 ORDER BY run_id
SELECT run_id FROM runs WHERE penalty_lambda = 0.3 ORDER BY run_id
SELECT run_id FROM runs WHERE NOT (penalty_lambda > 0.2) ORDER BY run_id
SELECT run_id FROM runs WHERE coalesce(penalty_lambda, 0) < 0.2 ORDER BY run_id
SELECT run_id FROM runs WHERE in_experiment ORDER BY run_id
SELECT run_id FROM runs WHERE in_experiment = true ORDER BY run_id
SELECT run_id FROM runs WHERE NOT in_experiment ORDER BY run_id
SELECT run_id FROM runs WHERE status = 'done' AND test_l0 > 4 ORDER BY run_id
SELECT run_id FROM runs WHERE (seed, penalty) = (1, 'l1') ORDER BY run_id
SELECT run_id FROM runs WHERE seed IN (SELECT max(seed) FROM runs) ORDER BY run_id
SELECT run_id FROM runs WHERE run_id NOT IN (SELECT run_id FROM history) ORDER BY run_id
SELECT run_id FROM runs WHERE test_mse IS NOT DISTINCT FROM NULL ORDER BY run_id
SELECT iif(seed > 2, 'late', 'early') AS age, count(*) FROM runs GROUP BY age ORDER BY age
SELECT CASE WHEN test_l0 < 3 THEN 'sparse' WHEN test_l0 IS NULL THEN NULL ELSE 'dense' END AS kind, count(*) FROM runs GROUP BY kind ORDER BY kind
SELECT CASE penalty WHEN 'l1' THEN penalty_lambda ELSE penalty_k END AS strength FROM runs ORDER BY run_id
SELECT ifnull(penalty_k, -1), nullif(penalty, 'l1') FROM runs ORDER BY run_id
-- Groups.
SELECT penalty, avg(test_mse) FROM runs GROUP BY penalty ORDER BY penalty
SELECT penalty, min(test_mse_thresholded) FROM runs WHERE test_l0 < 20 GROUP BY penalty ORDER BY penalty
SELECT penalty, penalty_lambda, penalty_k, avg(test_mse), count(*) FROM runs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
SELECT penalty, count(*) AS n FROM runs GROUP BY penalty HAVING n > 2 ORDER BY penalty
SELECT penalty, avg(test_mse) AS m FROM runs GROUP BY penalty HAVING avg(test_l0) > 3 ORDER BY m
SELECT status, count(*), count(test_mse), count(DISTINCT penalty) FROM runs GROUP BY status ORDER BY status
SELECT penalty, sum(seed), total(seed), avg(seed) FROM runs GROUP BY penalty ORDER BY penalty
SELECT sum(test_mse), avg(test_mse), count(test_mse) FROM runs
SELECT sum(test_mse) FROM runs WHERE seed > 1000
SELECT count(*) FROM runs WHERE seed > 1000
SELECT max(penalty), min(penalty) FROM runs
SELECT max(in_experiment), sum(in_experiment) FROM runs
SELECT group_concat(DISTINCT penalty) FROM (SELECT penalty FROM runs ORDER BY penalty)
SELECT penalty, group_concat(seed, '-') FROM (SELECT penalty, seed FROM runs ORDER BY penalty, seed, run_id) GROUP BY penalty ORDER BY penalty
SELECT string_agg(seed, ';' ORDER BY seed) FROM runs WHERE penalty = 'l1'
SELECT count(*) FILTER (WHERE status = 'done') AS done, count(*) FILTER (WHERE status <> 'done') AS other FROM runs
SELECT avg(test_mse) FILTER (WHERE penalty = 'l1'), avg(test_mse) FILTER (WHERE penalty <> 'l1') FROM runs
SELECT penalty, seed % 2 AS odd, count(*) FROM runs GROUP BY penalty, odd ORDER BY penalty, odd
SELECT round(test_l0) AS l0, count(*) FROM runs GROUP BY round(test_l0) ORDER BY l0
SELECT penalty, max(test_mse) - min(test_mse) AS spread FROM runs GROUP BY penalty ORDER BY spread
SELECT penalty, sqrt(avg(test_mse * test_mse) - avg(test_mse) * avg(test_mse)) AS deviation FROM runs GROUP BY penalty ORDER BY penalty
SELECT run_id, count(*), sum(firing_rate > 0), avg(decoder_norm) FROM latents GROUP BY run_id ORDER BY run_id
SELECT run_id, max(epoch), min(train_loss) FROM history GROUP BY run_id ORDER BY run_id
SELECT epoch, avg(test_mse), count(*) FROM history GROUP BY epoch ORDER BY epoch
SELECT latent, avg(firing_rate) FROM latents GROUP BY latent HAVING latent < 4 ORDER BY latent
SELECT median(test_mse), percentile(test_mse, 90) FROM runs
-- Several tables.
SELECT r.penalty, avg(l.firing_rate) FROM runs r JOIN latents l ON l.run_id = r.run_id GROUP BY r.penalty ORDER BY r.penalty
SELECT r.seed, max(h.epoch) AS epochs FROM runs r JOIN history h ON r.run_id = h.run_id GROUP BY r.seed ORDER BY r.seed
SELECT r.run_id, h.epoch FROM runs r LEFT JOIN history h ON r.run_id = h.run_id ORDER BY r.run_id, h.epoch
SELECT r.run_id, h.epoch FROM history h RIGHT JOIN runs r ON r.run_id = h.run_id ORDER BY r.run_id, h.epoch
SELECT run_id, penalty, epoch FROM runs JOIN history USING (run_id) WHERE epoch = 1 ORDER BY run_id
SELECT count(*) FROM runs NATURAL JOIN latents
SELECT count(*) FROM runs JOIN latents USING (run_id)
SELECT count(*) FROM runs LEFT JOIN history USING (run_id)
SELECT count(*) FROM runs FULL JOIN stability s ON s.other_run_id = runs.run_id
SELECT count(*) FROM runs, history
SELECT count(*) FROM runs CROSS JOIN (SELECT 1 UNION ALL SELECT 2)
SELECT a.run_id, b.run_id FROM runs a JOIN runs b ON a.seed = b.seed AND a.penalty = 'l1' AND b.penalty = 'k-sparse' ORDER BY 1, 2
SELECT a.run_id, b.run_id FROM runs a JOIN runs b ON a.seed = b.seed + 1 AND a.penalty = b.penalty ORDER BY 1, 2
SELECT r.run_id, h.epoch, l.latent FROM runs r JOIN history h USING (run_id) JOIN latents l USING (run_id) WHERE l.latent = 0 AND h.epoch = 1 ORDER BY r.run_id
SELECT r.penalty, h.epoch, avg(h.test_mse) FROM runs r JOIN history h ON h.run_id = r.run_id WHERE r.status = 'done' GROUP BY r.penalty, h.epoch ORDER BY r.penalty, h.epoch
SELECT r.run_id, (SELECT min(h.test_mse) FROM history h WHERE h.run_id = r.run_id) AS best FROM runs r ORDER BY r.run_id
SELECT r.run_id, (SELECT count(*) FROM latents l WHERE l.run_id = r.run_id AND l.firing_rate < 0) AS n FROM runs r ORDER BY r.run_id
SELECT penalty, seed FROM runs r WHERE test_mse = (SELECT min(test_mse) FROM runs WHERE penalty = r.penalty) ORDER BY penalty, seed, run_id
SELECT a.seed, b.seed FROM runs a, runs b WHERE a.run_id = b.run_id ORDER BY a.run_id
-- Sets.
SELECT seed FROM runs WHERE penalty = 'l1' UNION SELECT seed FROM runs WHERE penalty = 'k-sparse' ORDER BY seed
SELECT seed FROM runs WHERE penalty = 'l1' UNION ALL SELECT seed FROM runs WHERE penalty = 'k-sparse' ORDER BY seed
SELECT seed FROM runs WHERE penalty = 'l1' INTERSECT SELECT seed FROM runs WHERE seed > 1
SELECT penalty FROM runs EXCEPT SELECT 'l1'
SELECT run_id FROM runs EXCEPT SELECT run_id FROM history ORDER BY run_id
SELECT 'runs' AS name, count(*) FROM runs UNION ALL SELECT 'history', count(*) FROM history
SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT NULL
-- Names for sub-queries.
WITH best AS (SELECT penalty, min(test_mse) AS mse FROM runs GROUP BY penalty) SELECT * FROM best ORDER BY penalty
WITH a AS (SELECT * FROM runs WHERE seed = 1), b AS (SELECT * FROM a WHERE penalty = 'l1') SELECT count(*) FROM b
WITH runs AS (SELECT 1 AS x) SELECT * FROM runs
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 10) SELECT x, x * x FROM c
WITH RECURSIVE c(x) AS (VALUES (0) UNION ALL SELECT x + 1 FROM c LIMIT 5) SELECT sum(x) FROM c
SELECT avg(n) FROM (SELECT count(*) AS n FROM runs GROUP BY penalty)
SELECT * FROM (SELECT penalty, count(*) AS n FROM runs GROUP BY penalty) WHERE n > 1 ORDER BY penalty
SELECT x.m FROM (SELECT max(seed) AS m FROM runs) AS x
-- Windows.
SELECT run_id, row_number() OVER (ORDER BY run_id) FROM runs ORDER BY run_id
SELECT run_id, dense_rank() OVER (ORDER BY test_l0) FROM runs ORDER BY run_id
SELECT run_id, epoch, train_loss - lag(train_loss) OVER (PARTITION BY run_id ORDER BY epoch) AS step FROM history ORDER BY run_id, epoch
SELECT run_id, epoch, avg(test_mse) OVER (PARTITION BY run_id ORDER BY epoch ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM history ORDER BY run_id, epoch
SELECT run_id, first_value(test_mse) OVER (PARTITION BY run_id ORDER BY epoch) FROM history ORDER BY run_id, epoch
SELECT penalty, seed, sum(seed) OVER (PARTITION BY penalty ORDER BY seed, run_id) FROM runs ORDER BY run_id
SELECT run_id, ntile(4) OVER (ORDER BY run_id), percent_rank() OVER (ORDER BY run_id) FROM runs ORDER BY run_id
SELECT run_id, test_mse FROM (SELECT *, row_number() OVER (PARTITION BY penalty ORDER BY test_mse, run_id) AS place FROM runs WHERE test_mse IS NOT NULL) WHERE place <= 2 ORDER BY run_id
SELECT run_id, test_mse - avg(test_mse) OVER w FROM runs WINDOW w AS (PARTITION BY penalty) ORDER BY run_id
-- Texts and times.
SELECT upper(penalty), lower('ABC'), length(penalty), substr(run_id, 1, 4) FROM runs ORDER BY run_id
SELECT replace(penalty, '-', '_'), instr(penalty, 's'), trim('  a ') FROM runs ORDER BY run_id
SELECT printf('%.3f', test_mse), format('%05d', seed) FROM runs ORDER BY run_id
SELECT quote(reason), hex(penalty), unicode('a'), char(955) FROM runs ORDER BY run_id
SELECT date(started), strftime('%Y', started), julianday(finished) - julianday(started) FROM runs WHERE experiment = 'finished' ORDER BY run_id
SELECT 'it''s', 'ü', '"', ''
SELECT json_extract('{"a": [1, 2]}', '$.a[1]'), json_array(1, 'x', NULL)
SELECT concat('a', NULL, 1), concat_ws(',', penalty, seed) FROM runs ORDER BY run_id
-- Nulls in order.
SELECT penalty_k FROM runs ORDER BY penalty_k, run_id
SELECT penalty_k FROM runs ORDER BY penalty_k DESC NULLS LAST, run_id
SELECT test_mse FROM runs ORDER BY test_mse IS NULL, test_mse, run_id
SELECT max(test_mse, 0.01), min(seed, 3) FROM runs ORDER BY run_id
SELECT in_experiment, architecture_tied, architecture_latents, penalty_lambda, engine FROM runs ORDER BY run_id
SELECT * FROM runs r JOIN history h ON r.run_id = h.run_id ORDER BY r.run_id, h.epoch
SELECT seed, seed, seed AS "seed:1" FROM runs ORDER BY run_id
