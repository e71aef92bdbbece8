/* The build passes the commit and the compiler to this file alone (Makefile). */
#include "core/version.h"

const char version_text[] = "0.1";
const char version_commit[] = PAGELAB_COMMIT;
const char version_compiler[] = PAGELAB_COMPILER;
