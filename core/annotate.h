/* What compilers and checkers are told: clang about locks, so that `make lint` can prove their discipline;
 * the thread sanitizer about reads that need no lock. Empty otherwise. */
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

/* Reads what another CPU may be writing, where something that is read afterwards says whether to believe it, or
 * where it makes no difference. This machine keeps loads in order, and compilers make half as much of plain loads
 * as of atomic ones; the thread sanitizer is told. */
#ifdef __SANITIZE_THREAD__
#define PEEK(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#else
#define PEEK(field) (field)
#endif

/* For a function that reads what may be anything by then, because it wants only a guess. */
#define READS_A_GUESS __attribute__((no_sanitize("thread")))

#endif
