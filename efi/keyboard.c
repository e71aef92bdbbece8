/* Keys from the firmware's console. */
#include "efi/keyboard.h"

#include "efi/escape.h"
#include "efi/firmware.h"

#define TIMER_UNITS_PER_SECOND 10000000ull /* 100 ns */
#define DELETE_CHARACTER 0x7f
/* Where the firmware cannot wait for events: looks for a key this often. */
#define POLL_MICROSECONDS 20000
/* So long after ESC more of a sequence is waited for. */
#define FOLLOWER_MICROSECONDS 5000
#define FOLLOWER_POLLS 10
#define POLLS_PER_SECOND (1000000 / POLL_MICROSECONDS)

static const uint8_t code_of_scan[] = {
    [SCAN_UP] = KEY_UP,           [SCAN_DOWN] = KEY_DOWN,
    [SCAN_RIGHT] = KEY_RIGHT,     [SCAN_LEFT] = KEY_LEFT,
    [SCAN_HOME] = KEY_HOME,       [SCAN_END] = KEY_END,
    [SCAN_INSERT] = KEY_OTHER,    [SCAN_DELETE] = KEY_DELETE,
    [SCAN_PAGE_UP] = KEY_PAGE_UP, [SCAN_PAGE_DOWN] = KEY_PAGE_DOWN,
    [SCAN_F1] = KEY_F1,
};

static struct key translate(const EFI_INPUT_KEY *input)
{
    CHAR16 character = input->UnicodeChar;
    if (character >= ' ' && character < DELETE_CHARACTER)
        return (struct key){KEY_CHARACTER, (char)character};
    if (character == CHAR_CARRIAGE_RETURN || character == CHAR_LINEFEED)
        return (struct key){KEY_ENTER, '\0'};
    if (character == CHAR_BACKSPACE || character == DELETE_CHARACTER)
        return (struct key){KEY_BACKSPACE, '\0'};
    if (input->ScanCode == SCAN_ESC || character == 0x1b)
        return (struct key){KEY_ESCAPE, '\0'};
    if (input->ScanCode > SCAN_NULL && input->ScanCode < ARRAY_COUNT(code_of_scan))
        return (struct key){code_of_scan[input->ScanCode], '\0'};
    return (struct key){KEY_OTHER, '\0'};
}

bool keyboard_exists(void)
{
    return firmware.system->ConIn != NULL;
}

/* A key that was read ahead, behind an ESC that stood for itself. */
static struct key kept;
static bool has_kept;

static bool read_stroke(struct key *key)
{
    EFI_INPUT_KEY input = {.ScanCode = 0};
    if (EFI_ERROR(firmware.system->ConIn->ReadKeyStroke(firmware.system->ConIn, &input)))
        return false;
    *key = translate(&input);
    return true;
}

/* What a terminal sends in one go follows at once; nobody types as fast. */
static bool read_follower(struct key *key)
{
    for (unsigned i = 0; i < FOLLOWER_POLLS; i++) {
        if (read_stroke(key))
            return true;
        (void)firmware.boot->Stall(FOLLOWER_MICROSECONDS);
    }
    return false;
}

/* ESC has come: *key becomes the key that it begins, if it begins one. */
static void read_sequence(struct key *key)
{
    struct escape escape;
    struct key next;
    escape_init(&escape);
    while (read_follower(&next)) {
        enum escape_state state = ESCAPE_REFUSED;
        if (next.code == KEY_CHARACTER)
            state = escape_feed(&escape, next.character, key);
        if (state == ESCAPE_GOES_ON)
            continue;
        has_kept = state == ESCAPE_REFUSED;
        kept = next;
        return;
    }
}

static bool read_key(struct key *key)
{
    if (has_kept) {
        *key = kept;
        has_kept = false;
        return true;
    }
    if (!read_stroke(key))
        return false;
    if (key->code == KEY_ESCAPE)
        read_sequence(key);
    return true;
}

/* Sleeps until there may be a key or the timer fires. Returns false when the timer did. */
static bool sleep(EFI_EVENT timer)
{
    EFI_EVENT events[] = {firmware.system->ConIn->WaitForKey, timer};
    UINTN index = 0;
    UINTN count = timer != NULL ? 2 : 1;
    if (EFI_ERROR(firmware.boot->WaitForEvent(count, events, &index)))
        (void)firmware.boot->Stall(POLL_MICROSECONDS);
    return index == 0;
}

static bool wait_by_polling(struct key *key, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * POLLS_PER_SECOND; i++) {
        if (read_key(key))
            return true;
        (void)firmware.boot->Stall(POLL_MICROSECONDS);
    }
    return false;
}

bool keyboard_wait(struct key *key, unsigned seconds)
{
    EFI_EVENT timer = NULL;
    if (seconds > 0 && EFI_ERROR(firmware.boot->CreateEvent(EVT_TIMER, 0, NULL, NULL, &timer)))
        return wait_by_polling(key, seconds);
    if (timer != NULL)
        (void)firmware.boot->SetTimer(timer, TimerRelative, seconds * TIMER_UNITS_PER_SECOND);

    bool in_time = true;
    bool found = read_key(key);
    while (!found && in_time) {
        in_time = sleep(timer);
        found = read_key(key);
    }
    if (timer != NULL)
        (void)firmware.boot->CloseEvent(timer);
    return found;
}
