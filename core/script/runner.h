/* Runs the selected scenarios and reports on them: the whole of a run between start and end. */
#ifndef CORE_SCRIPT_RUNNER_H
#define CORE_SCRIPT_RUNNER_H

#include "core/arena.h"
#include "core/boot_info.h"
#include "core/report/report.h"
#include "core/script/boot_params.h"

struct run_args {
    const struct boot_info *boot;
    const struct boot_params *params;
    struct arena *arena; /* all memory that the harness may use */
};

/* Prints the whole report, last line included. Never fails: what cannot run is reported. */
enum run_status runner_run(const struct run_args *args);

#endif
