/* The boot volume: the file system that has a directory \pagelab. */
#include "efi/volume.h"

#include "efi/utf16.h"

#define PATH_MAX 192
/* Far more entries than a directory has that a person made; a broken file system may list for ever. */
#define DIRECTORY_ENTRIES_MAX 4096

static const EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static const EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static const EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

static EFI_STATUS open_file(EFI_FILE_PROTOCOL *root, const char *path, EFI_FILE_PROTOCOL **file)
{
    CHAR16 wide[PATH_MAX];
    utf16_from_ascii(wide, ARRAY_COUNT(wide), path);
    *file = NULL;
    return root->Open(root, file, wide, EFI_FILE_MODE_READ, 0);
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

static EFI_STATUS read_all(EFI_FILE_PROTOCOL *file, size_t limit, struct text *content)
{
    union file_info info;
    UINTN size = sizeof(info);
    EFI_GUID guid = file_info_guid;
    EFI_STATUS status = file->GetInfo(file, &guid, &size, &info);
    if (EFI_ERROR(status))
        return status;
    if ((info.info.Attribute & EFI_FILE_DIRECTORY) != 0)
        return EFI_NOT_FOUND;
    size_t wanted = info.info.FileSize <= limit ? (size_t)info.info.FileSize : limit + 1;
    char *data = firmware_pool(wanted + 1);
    if (data == NULL)
        return EFI_OUT_OF_RESOURCES;

    size_t done = 0;
    while (done < wanted) {
        size = wanted - done;
        status = file->Read(file, &size, data + done);
        if (EFI_ERROR(status) || size == 0)
            break;
        done += size;
    }
    if (done < wanted) {
        firmware_pool_free(data);
        return EFI_ERROR(status) ? status : EFI_END_OF_FILE;
    }
    *content = (struct text){data, done};
    return EFI_SUCCESS;
}

EFI_STATUS volume_read(const struct volume *volume, const char *path, size_t limit,
                       struct text *content)
{
    EFI_FILE_PROTOCOL *file;
    if (volume->root == NULL)
        return EFI_NOT_FOUND;
    EFI_STATUS status = open_file(volume->root, path, &file);
    if (EFI_ERROR(status))
        return status;
    status = read_all(file, limit, content);
    (void)file->Close(file);
    return status;
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
