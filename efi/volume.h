/* The boot volume: the file system that has a directory \pagelab. */
#ifndef EFI_VOLUME_H
#define EFI_VOLUME_H

#include "core/text.h"
#include "efi/firmware.h"

/* A name of a file in a scenario directory, terminated. */
#define VOLUME_NAME_MAX 128

struct volume {
    EFI_FILE_PROTOCOL *root; /* NULL: there is no boot volume */
};

/* The volume that the image was started from if it has \pagelab; else, with all controllers connected,
 * the first one in handle order that has it. */
void volume_open(struct volume *volume);

/* Reads a whole file, but at most `limit` + 1 bytes, into memory that lives on. EFI_NOT_FOUND when it
 * does not exist. */
[[nodiscard]] EFI_STATUS volume_read(const struct volume *volume, const char *path, size_t limit,
                                     struct text *content);

/* The size of a file. EFI_NOT_FOUND when it does not exist. */
[[nodiscard]] EFI_STATUS volume_size(const struct volume *volume, const char *path,
                                     uint64_t *size_bytes);
/* Reads the first size_bytes of a file. EFI_END_OF_FILE: it has less. */
[[nodiscard]] EFI_STATUS volume_read_into(const struct volume *volume, const char *path,
                                          void *memory, size_t size_bytes);

/* Writes a whole file in place of an older one; the directories of its path are made. EFI_NOT_FOUND
 * without a volume. */
[[nodiscard]] EFI_STATUS volume_write(const struct volume *volume, const char *path,
                                      struct text content);
/* EFI_SUCCESS also when there was no such file. */
[[nodiscard]] EFI_STATUS volume_delete(const struct volume *volume, const char *path);

/* Calls visit for each file in a directory (not for directories), in the order of the file system.
 * `name` has what is not ASCII replaced by `?`, and ends with "..." when it was cut. No directory is
 * an empty one. */
[[nodiscard]] EFI_STATUS volume_list(const struct volume *volume, const char *path,
                                     void (*visit)(void *context, const char *name), void *context);

#endif
