/* Runs the selected scenarios and reports them: the middle of every run, booted or hosted. */
#ifndef CORE_SCRIPT_RUNNER_H
#define CORE_SCRIPT_RUNNER_H

#include "core/arena.h"
#include "core/boot_info.h"
#include "core/report/report.h"
#include "core/script/boot_params.h"

struct run_args {
    const struct boot_info *boot; /* its scenarios are loaded, checked again, and run */
    const struct boot_params *params;
    struct arena *arena; /* for all that the harness builds */
};

/* Prints the whole report, from its plan to its last line. The machine and core/mm are up; no CPU but
 * this one works. */
enum run_status runner_run(const struct run_args *args);

#endif
