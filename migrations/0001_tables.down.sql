-- Takes everything with it, results too.
DROP SCHEMA millrace CASCADE;
