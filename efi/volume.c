/* The boot volume: the file system that has a directory \pagelab. */
#include "efi/volume.h"

#include "efi/utf16.h"

#define PATH_MAX 192
/* Far more entries than a directory has that a person made; a broken file system may list for ever. */
#define DIRECTORY_ENTRIES_MAX 4096
/* Of one request to the firmware: some drivers take memory of that size meanwhile. */
#define READ_MAX (4 * MIB)

static const EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static const EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static const EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

/* EFI_NOT_FOUND without a root, too. */
static EFI_STATUS open_with(EFI_FILE_PROTOCOL *root, const char *path, uint64_t mode,
                            EFI_FILE_PROTOCOL **file)
{
    CHAR16 wide[PATH_MAX];
    utf16_from_ascii(wide, ARRAY_COUNT(wide), path);
    *file = NULL;
    if (root == NULL)
        return EFI_NOT_FOUND;
    return root->Open(root, file, wide, mode, 0);
}

static EFI_STATUS open_file(EFI_FILE_PROTOCOL *root, const char *path, EFI_FILE_PROTOCOL **file)
{
    return open_with(root, path, EFI_FILE_MODE_READ, file);
}

/* The root of the handle's file system if it has \pagelab, else NULL. */
static EFI_FILE_PROTOCOL *open_root(EFI_HANDLE handle)
{
    void *interface = NULL;
    EFI_FILE_PROTOCOL *root = NULL;
    EFI_FILE_PROTOCOL *directory = NULL;
    if (handle == NULL || EFI_ERROR(firmware_protocol(handle, &file_system_guid, &interface)))
        return NULL;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *file_system = interface;
    if (EFI_ERROR(file_system->OpenVolume(file_system, &root)) || root == NULL)
        return NULL;
    if (EFI_ERROR(open_file(root, "\\pagelab", &directory))) {
        (void)root->Close(root);
        return NULL;
    }
    (void)directory->Close(directory);
    return root;
}

/* Firmware connects only what it boots from: a disk may have no file system yet. */
static void connect_all_controllers(void)
{
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;
    if (EFI_ERROR(firmware.boot->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &handles)))
        return;
    for (UINTN i = 0; i < count; i++)
        (void)firmware.boot->ConnectController(handles[i], NULL, NULL, TRUE);
    firmware_pool_free(handles);
}

void volume_open(struct volume *volume)
{
    void *interface = NULL;
    volume->root = NULL;
    if (!EFI_ERROR(firmware_protocol(firmware.image, &loaded_image_guid, &interface))) {
        const EFI_LOADED_IMAGE_PROTOCOL *image = interface;
        volume->root = open_root(image->DeviceHandle);
    }
    if (volume->root != NULL)
        return;

    connect_all_controllers();
    EFI_GUID guid = file_system_guid;
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;
    if (EFI_ERROR(firmware.boot->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles)))
        return;
    for (UINTN i = 0; i < count && volume->root == NULL; i++)
        volume->root = open_root(handles[i]);
    firmware_pool_free(handles);
}

/* Room for a file's information, its name included. */
union file_info {
    EFI_FILE_INFO info;
    char storage[sizeof(EFI_FILE_INFO) + 512];
};

/* EFI_NOT_FOUND: it is a directory. */
static EFI_STATUS file_size(EFI_FILE_PROTOCOL *file, uint64_t *size_bytes)
{
    union file_info info;
    UINTN size = sizeof(info);
    EFI_GUID guid = file_info_guid;
    EFI_STATUS status = file->GetInfo(file, &guid, &size, &info);
    if (!EFI_ERROR(status) && (info.info.Attribute & EFI_FILE_DIRECTORY) != 0)
        status = EFI_NOT_FOUND;
    *size_bytes = EFI_ERROR(status) ? 0 : info.info.FileSize;
    return status;
}

/* Exactly so many bytes, or EFI_END_OF_FILE. */
static EFI_STATUS read_exactly(EFI_FILE_PROTOCOL *file, char *data, size_t wanted)
{
    while (wanted > 0) {
        UINTN size = wanted < READ_MAX ? wanted : READ_MAX;
        EFI_STATUS status = file->Read(file, &size, data);
        if (EFI_ERROR(status))
            return status;
        if (size == 0)
            return EFI_END_OF_FILE;
        data += size;
        wanted -= size;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS read_all(EFI_FILE_PROTOCOL *file, size_t limit, struct text *content)
{
    uint64_t size_bytes;
    EFI_STATUS status = file_size(file, &size_bytes);
    if (EFI_ERROR(status))
        return status;
    size_t wanted = size_bytes <= limit ? (size_t)size_bytes : limit + 1;
    char *data = firmware_pool(wanted + 1);
    if (data == NULL)
        return EFI_OUT_OF_RESOURCES;
    status = read_exactly(file, data, wanted);
    if (EFI_ERROR(status)) {
        firmware_pool_free(data);
        return status;
    }
    *content = (struct text){data, wanted};
    return EFI_SUCCESS;
}

EFI_STATUS volume_read(const struct volume *volume, const char *path, size_t limit,
                       struct text *content)
{
    EFI_FILE_PROTOCOL *file;
    EFI_STATUS status = open_file(volume->root, path, &file);
    if (EFI_ERROR(status))
        return status;
    status = read_all(file, limit, content);
    (void)file->Close(file);
    return status;
}

EFI_STATUS volume_size(const struct volume *volume, const char *path, uint64_t *size_bytes)
{
    EFI_FILE_PROTOCOL *file;
    *size_bytes = 0;
    EFI_STATUS status = open_file(volume->root, path, &file);
    if (EFI_ERROR(status))
        return status;
    status = file_size(file, size_bytes);
    (void)file->Close(file);
    return status;
}

EFI_STATUS volume_read_into(const struct volume *volume, const char *path, void *memory,
                            size_t size_bytes)
{
    EFI_FILE_PROTOCOL *file;
    EFI_STATUS status = open_file(volume->root, path, &file);
    if (EFI_ERROR(status))
        return status;
    status = read_exactly(file, memory, size_bytes);
    (void)file->Close(file);
    return status;
}

EFI_STATUS volume_delete(const struct volume *volume, const char *path)
{
    EFI_FILE_PROTOCOL *file;
    if (volume->root == NULL)
        return EFI_NOT_FOUND;
    EFI_STATUS status =
        open_with(volume->root, path, EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE, &file);
    if (status == EFI_NOT_FOUND)
        return EFI_SUCCESS;
    /* That it could not be deleted is only a warning for UEFI. */
    return EFI_ERROR(status) || file->Delete(file) == EFI_SUCCESS ? status : EFI_WRITE_PROTECTED;
}

/* Makes every directory in a path; those that exist are opened. */
static EFI_STATUS make_directories(EFI_FILE_PROTOCOL *root, const char *path)
{
    EFI_STATUS status = EFI_SUCCESS;
    for (size_t i = 1; path[i] != '\0' && !EFI_ERROR(status); i++) {
        char directory[PATH_MAX];
        CHAR16 wide[PATH_MAX];
        EFI_FILE_PROTOCOL *made = NULL;
        if (path[i] != '\\' || i >= sizeof(directory))
            continue;
        memcpy(directory, path, i);
        directory[i] = '\0';
        utf16_from_ascii(wide, ARRAY_COUNT(wide), directory);
        status = root->Open(root, &made, wide,
                            EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE,
                            EFI_FILE_DIRECTORY);
        if (!EFI_ERROR(status))
            (void)made->Close(made);
    }
    return status;
}

static EFI_STATUS write_all(EFI_FILE_PROTOCOL *file, struct text content)
{
    EFI_STATUS status = EFI_SUCCESS;
    while (content.size > 0 && !EFI_ERROR(status)) {
        UINTN size = content.size;
        status = file->Write(file, &size, (void *)content.data);
        if (!EFI_ERROR(status) && size == 0)
            status = EFI_VOLUME_FULL;
        content = (struct text){content.data + size, content.size - size};
    }
    return status;
}

EFI_STATUS volume_write(const struct volume *volume, const char *path, struct text content)
{
    EFI_FILE_PROTOCOL *file;
    EFI_STATUS status = volume_delete(volume, path);
    if (!EFI_ERROR(status))
        status = make_directories(volume->root, path);
    if (!EFI_ERROR(status))
        status = open_with(volume->root, path,
                           EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE, &file);
    if (EFI_ERROR(status))
        return status;

    status = write_all(file, content);
    EFI_STATUS flushed = file->Flush(file);
    EFI_STATUS closed = file->Close(file);
    if (EFI_ERROR(status))
        return status;
    return EFI_ERROR(flushed) ? flushed : closed;
}

static void visit_entry(const EFI_FILE_INFO *info, void (*visit)(void *context, const char *name),
                        void *context)
{
    char name[VOLUME_NAME_MAX];
    size_t length = utf16_length(info->FileName, VOLUME_NAME_MAX);
    utf16_to_ascii(name, sizeof(name), info->FileName, length);
    if (length == VOLUME_NAME_MAX)
        memcpy(name + sizeof(name) - sizeof("..."), "...", sizeof("..."));
    if ((info->Attribute & EFI_FILE_DIRECTORY) == 0)
        visit(context, name);
}

EFI_STATUS volume_list(const struct volume *volume, const char *path,
                       void (*visit)(void *context, const char *name), void *context)
{
    EFI_FILE_PROTOCOL *directory;
    if (volume->root == NULL)
        return EFI_SUCCESS;
    EFI_STATUS status = open_file(volume->root, path, &directory);
    if (EFI_ERROR(status))
        return status == EFI_NOT_FOUND ? EFI_SUCCESS : status;

    union file_info entry;
    for (size_t i = 0; i < DIRECTORY_ENTRIES_MAX; i++) {
        UINTN size = sizeof(entry);
        status = directory->Read(directory, &size, &entry);
        if (EFI_ERROR(status) || size == 0)
            break;
        visit_entry(&entry.info, visit, context);
    }
    (void)directory->Close(directory);
    return status;
}
