/* Which PageLab this is: the one object that changes with every commit. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

extern const char version_text[];     /* "0.1" */
extern const char version_commit[];   /* full hash, "-dirty" behind it when changed; "unknown" */
extern const char version_compiler[]; /* the first line of its --version */

#endif
