/* Where the machine's entry hands over. */
#ifndef CORE_MAIN_H
#define CORE_MAIN_H

struct boot_info;

[[gnu::noreturn]] void core_main(const struct boot_info *boot);

#endif
