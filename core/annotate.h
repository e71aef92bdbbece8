/* Clang's capability annotations, so that `make lint` can prove lock discipline; empty under gcc. */
#ifndef CORE_ANNOTATE_H
#define CORE_ANNOTATE_H

#if defined(__clang__)
#define ANNOTATE(x) __attribute__((x))
#else
#define ANNOTATE(x)
#endif

#define CAPABILITY(name) ANNOTATE(capability(name))
#define ACQUIRE(...) ANNOTATE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) ANNOTATE(release_capability(__VA_ARGS__))
#define REQUIRES(...) ANNOTATE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) ANNOTATE(locks_excluded(__VA_ARGS__))
#define NO_LOCK_ANALYSIS ANNOTATE(no_thread_safety_analysis)

#endif
