/* The framebuffer memory type: memory with two faces, the screen and ordinary memory.
 *
 * Concepts: while its owners have the screen, the object shows the device. Switched to text it shows a
 * shadow in RAM instead, with the same content, and the console draws on the screen; switched back the
 * content returns to the device. Nobody who writes notices: a write goes to the face that the page has,
 * or waits in its fault until the page has changed faces.
 *
 *   for each batch of pages:  take its entries away in every region of every space
 *                             flush                         from here on nobody writes the old face
 *                             copy                          so nothing is written behind the copy
 *                             put the entries back          at the new face
 *
 * The shadow exists only while it is shown or filled. Without a screen the device is a stand-in in RAM.
 * There is one such object at a time: the screen can be given away once.
 * Locking: the object's lock guards faces, for one batch at a time. */
#ifndef CORE_MM_FRAMEBUFFER_H
#define CORE_MM_FRAMEBUFFER_H

#include "core/mm/object.h"

enum framebuffer_face { FACE_DEVICE, FACE_MEMORY };

/* The whole screen in pages, or of the stand-in for one. */
uint64_t framebuffer_page_count(void);
/* Takes the screen from the console; the content is zero. page_count 0: all of it. EBUSY: there is one
 * already; ERANGE: larger than the screen; ENOMEM. References 1. */
result_t framebuffer_create(uint64_t page_count, struct object **object);
/* Where the device is, whichever face is shown. */
phys_t framebuffer_device(struct object *object);
/* Is it one? NULL if not. */
struct framebuffer *framebuffer_of(struct object *object);
/* Gives the screen to the console (FACE_MEMORY) or back to the owners (FACE_DEVICE). Nothing happens
 * when it is there already. EBUSY: another switch is under way; ENOMEM: no frames in a row for the
 * shadow, nothing has changed. O(pages), plus O(present entries) for each region. */
result_t framebuffer_switch(struct framebuffer *framebuffer, enum framebuffer_face face);
/* CRC-32 of what is on the device where the object has its pages, and of the shadow (0 without one).
 * O(bytes). */
uint32_t framebuffer_device_crc(struct framebuffer *framebuffer);
uint32_t framebuffer_memory_crc(struct framebuffer *framebuffer);

#endif
