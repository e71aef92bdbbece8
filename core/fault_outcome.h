/* What a page fault ended in. An outcome is a measurement, not an error. */
#ifndef CORE_FAULT_OUTCOME_H
#define CORE_FAULT_OUTCOME_H

/* FAULT_SEGV, FAULT_PROT, FAULT_BUS are the faults a script sees as `$F.segv` 1, `$F.prot` 2,
 * `$F.bus` 3 plus FAULT_NUMBER_BASE, so that `try V` tells them from errors (core/result.h). */
enum fault_outcome {
    FAULT_RESOLVED = 0,
    FAULT_SEGV = 1,  /* no region, unbacked, kernel half, non-canonical, a region being removed */
    FAULT_PROT = 2,  /* the region lacks the right */
    FAULT_BUS = 3,   /* past the object's end, or its page cannot be read */
    FAULT_NOMEM = 4, /* no frame or table: the access ends with error ENOMEM */
    FAULT_AGAIN = 5, /* inside core/mm: the region changes at this moment */
};

#define FAULT_NUMBER_BASE 100

/* How memory was accessed; or-ed. */
enum fault_access {
    ACCESS_READ = 0,
    ACCESS_WRITE = 1,
    ACCESS_EXEC = 2,
    ACCESS_USER = 4,
    ACCESS_NON_CANONICAL = 8, /* the machine has no address to tell */
};

#endif
