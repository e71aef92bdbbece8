/* How a scenario, or one combination of its parameters, ended. */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP };

#endif
