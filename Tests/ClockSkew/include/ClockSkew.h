// Nothing to call: the library replaces functions of libc in programs that are started with it in LD_PRELOAD.
