/* Facts about this machine for `meta`, and randomness. */
#include "core/fmt.h"
#include "core/machine.h"
#include "core/random.h"
#include "core/text.h"
#include "x86_64/apic.h"
#include "x86_64/clock.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"
#include "x86_64/serial.h"

#define RANDOM_TRIES 32

static void copy_words(char *to, const uint32_t *words, size_t count)
{
    memcpy(to, words, count * sizeof(uint32_t));
    to[count * sizeof(uint32_t)] = '\0';
}

static void vendor_name(char text[13])
{
    struct cpuid r = cpuid(0, 0);
    copy_words(text, (const uint32_t[]){r.ebx, r.edx, r.ecx}, 3);
}

/* The brand string is padded with blanks on either side. */
static void model_name(char text[49])
{
    if (cpuid(0x80000000, 0).eax < 0x80000004) {
        struct cpuid r = cpuid(1, 0);
        (void)fmt_print(text, 49, "signature 0x%x", r.eax);
        return;
    }
    char brand[49];
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid r = cpuid(0x80000002 + i, 0);
        copy_words(brand + 16 * i, (const uint32_t[]){r.eax, r.ebx, r.ecx, r.edx}, 4);
    }
    struct text trimmed = text_trim(text_of(brand));
    memcpy(text, trimmed.data, trimmed.size);
    text[trimmed.size] = '\0';
}

static void hypervisor_name(char text[13])
{
    if (!features_have(FEATURE_HYPERVISOR)) {
        (void)fmt_print(text, 13, "none");
        return;
    }
    struct cpuid r = cpuid(0x40000000, 0);
    copy_words(text, (const uint32_t[]){r.ebx, r.ecx, r.edx}, 3);
}

/* Only these two vendors have the register; Intel's is filled by a CPUID. */
static void microcode_revision(char *text, size_t size)
{
    char vendor[13];
    vendor_name(vendor);
    bool intel = text_is(text_of(vendor), "GenuineIntel");
    if (!intel && !text_is(text_of(vendor), "AuthenticAMD")) {
        (void)fmt_print(text, size, "unknown");
        return;
    }
    if (intel)
        msr_write(MSR_MICROCODE, 0);
    (void)cpuid(1, 0);
    uint64_t value = msr_read(MSR_MICROCODE);
    (void)fmt_print(text, size, "0x%x", (unsigned)(intel ? value >> 32 : value));
}

/* Extended topology: subleaf 0 counts threads of a core, subleaf 1 those of a package. */
static void topology(char *text, size_t size)
{
    unsigned threads = 1, package = machine_cpu_present();
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx != 0) {
        threads = cpuid(0xb, 0).ebx & 0xffff;
        package = cpuid(0xb, 1).ebx & 0xffff;
    }
    if (threads == 0 || package < threads) {
        threads = 1;
        package = machine_cpu_present();
    }
    (void)fmt_print(text, size, "cores_per_package=%u threads_per_core=%u apic=%s",
                    package / threads, threads, apic_is_x2() ? "x2apic" : "xapic");
}

void machine_describe(void (*emit)(void *context, const char *key, const char *value),
                      void *context)
{
    char text[256];
    vendor_name(text);
    emit(context, "cpu_vendor", text);
    model_name(text);
    emit(context, "cpu_model", text);
    emit(context, "tsc_source", clock_source());
    emit(context, "tsc_invariant", features_have(FEATURE_INVARIANT_TSC) ? "1" : "0");
    hypervisor_name(text);
    emit(context, "hypervisor", text);
    features_list(text, sizeof(text));
    emit(context, "features", text);
    microcode_revision(text, sizeof(text));
    emit(context, "microcode", text);
    topology(text, sizeof(text));
    emit(context, "topology", text);
    emit(context, "serial", serial_name());
}

static bool read_seed(uint64_t *value)
{
    bool good = false;
    for (unsigned i = 0; i < RANDOM_TRIES && !good && features_have(FEATURE_RDSEED); i++)
        __asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(good));
    for (unsigned i = 0; i < RANDOM_TRIES && !good && features_have(FEATURE_RDRAND); i++)
        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
    return good;
}

/* Broken generators exist that always say the same; the time is mixed in. */
uint64_t machine_random_seed(void)
{
    uint64_t hardware = 0;
    if (!read_seed(&hardware))
        hardware = 0;
    return splitmix64(hardware ^ splitmix64(machine_ticks()));
}
