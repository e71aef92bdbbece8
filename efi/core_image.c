/* The core's ELF file: what of it must be where. */
#include "efi/core_image.h"

#include "core/boot_info.h"

#include <elf.h>

static bool has_range(struct text file, uint64_t offset, uint64_t size)
{
    return offset <= file.size && size <= file.size - offset;
}

/* Copies a header out, because nothing promises its alignment. The caller has checked the range. */
static void read_at(struct text file, uint64_t offset, void *to, size_t size)
{
    memcpy(to, file.data + offset, size);
}

static const char *check_header(struct text file, const Elf64_Ehdr *header)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return "it is not an ELF file";
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64 || header->e_type != ET_EXEC)
        return "it is not a static program for x86-64";
    if (header->e_phentsize != sizeof(Elf64_Phdr) ||
        !has_range(file, header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr)))
        return "its program headers are damaged";
    if (header->e_shnum != 0 &&
        (header->e_shentsize != sizeof(Elf64_Shdr) ||
         !has_range(file, header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr))))
        return "its section headers are damaged";
    return NULL;
}

static const char *add_segment(struct core_image *image, struct text file, const Elf64_Phdr *header)
{
    if (image->segment_count == CORE_SEGMENTS_MAX)
        return "it has too many segments";
    if (!has_range(file, header->p_offset, header->p_filesz) || header->p_filesz > header->p_memsz)
        return "a segment is cut off";
    uint64_t end_before = BOOT_CORE_BASE + image->size_bytes;
    if (!is_page_aligned(header->p_vaddr) || header->p_vaddr < end_before)
        return "two segments share a page, or lie below the core's address";
    if (header->p_vaddr - BOOT_CORE_BASE > CORE_SIZE_MAX || header->p_memsz > CORE_SIZE_MAX)
        return "it is too large";
    if ((header->p_flags & PF_W) != 0 && (header->p_flags & PF_X) != 0)
        return "a segment is writable and executable";

    enum page_rights rights = PAGE_READ;
    if ((header->p_flags & PF_X) != 0)
        rights = PAGE_READ_EXECUTE;
    else if ((header->p_flags & PF_W) != 0)
        rights = PAGE_READ_WRITE;
    image->segments[image->segment_count++] = (struct core_segment){
        .virt = header->p_vaddr,
        .size_bytes = page_ceil(header->p_memsz),
        .content = {file.data + header->p_offset, header->p_filesz},
        .rights = rights,
    };
    image->size_bytes = page_ceil(header->p_vaddr + header->p_memsz - BOOT_CORE_BASE);
    return NULL;
}

static const char *read_segments(struct core_image *image, struct text file,
                                 const Elf64_Ehdr *header)
{
    bool entry_found = false;
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr program;
        read_at(file, header->e_phoff + i * sizeof(program), &program, sizeof(program));
        if (program.p_type != PT_LOAD || program.p_memsz == 0)
            continue;
        const char *problem = add_segment(image, file, &program);
        if (problem != NULL)
            return problem;
        entry_found |= (program.p_flags & PF_X) != 0 && header->e_entry >= program.p_vaddr &&
                       header->e_entry < program.p_vaddr + program.p_filesz;
    }
    image->entry = header->e_entry;
    return entry_found ? NULL : "its entry is not in its code";
}

/* Backtraces go without names when there are no symbols: no reason not to start. */
static void find_symbols(struct core_image *image, struct text file, const Elf64_Ehdr *header)
{
    for (size_t i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr symbols, strings;
        read_at(file, header->e_shoff + i * sizeof(symbols), &symbols, sizeof(symbols));
        if (symbols.sh_type != SHT_SYMTAB || symbols.sh_link >= header->e_shnum)
            continue;
        read_at(file, header->e_shoff + symbols.sh_link * sizeof(strings), &strings,
                sizeof(strings));
        if (!has_range(file, symbols.sh_offset, symbols.sh_size) ||
            !has_range(file, strings.sh_offset, strings.sh_size))
            continue;
        image->symbol_table = (struct text){file.data + symbols.sh_offset, symbols.sh_size};
        image->string_table = (struct text){file.data + strings.sh_offset, strings.sh_size};
        return;
    }
}

result_t core_image_parse(struct core_image *image, struct text file, const char **problem)
{
    *image = (struct core_image){.entry = 0};
    Elf64_Ehdr header;
    if (!has_range(file, 0, sizeof(header))) {
        *problem = "it is empty";
        return EINVAL;
    }
    read_at(file, 0, &header, sizeof(header));
    *problem = check_header(file, &header);
    if (*problem == NULL)
        *problem = read_segments(image, file, &header);
    if (*problem != NULL)
        return EINVAL;

    find_symbols(image, file, &header);
    return OK;
}

void core_image_copy(const struct core_image *image, void *memory)
{
    memset(memory, 0, image->size_bytes);
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct core_segment *segment = &image->segments[i];
        memcpy((char *)memory + (segment->virt - BOOT_CORE_BASE), segment->content.data,
               segment->content.size);
    }
}
