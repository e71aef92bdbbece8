/* The loader's main program, called by crt0.asm. */
#ifndef EFI_MAIN_H
#define EFI_MAIN_H

#include <efi.h>

/* Returns to the firmware only when the core cannot be started, or when the user leaves the menu. */
EFI_STATUS loader_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

#endif
