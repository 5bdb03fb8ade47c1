DROP FUNCTION millrace.fsck();
