/* The CPUs' blocks. */
#include "core/cpu.h"

struct cpu cpus[CPU_MAX];
