// As much of a C library as a policy takes, and none of WASI: what the compiler
// expects to be there, and memory. An instance answers one question and is gone
// then, so what is freed need not be found again.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 65536

extern unsigned char __heap_base; // The linker knows where the rest ends.

// Before each block lies its size: `realloc` has to know it.
typedef struct {
  _Alignas(16) size_t size;
} header;

void *malloc(size_t size) {
  static uintptr_t next;
  if (next == 0) next = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  size_t whole = (sizeof(header) + size + 15) & ~(size_t)15;
  size_t room = __builtin_wasm_memory_size(0) * PAGE - next;
  if (whole < size) abort();
  if (whole > room) {
    size_t pages = (whole - room + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) abort();
  }
  header *block = (header *)next;
  block->size = size;
  next += whole;
  return block + 1;
}

void free(void *block) { (void)block; }

void *realloc(void *old, size_t size) {
  if (old == NULL) return malloc(size);
  size_t had = ((header *)old)[-1].size;
  if (size <= had) return old;
  return memcpy(malloc(size), old, had);
}

void *calloc(size_t count, size_t size) {
  size_t whole;
  if (__builtin_mul_overflow(count, size, &whole)) abort();
  return memset(malloc(whole), 0, whole);
}

// The gateway lets the built-in answer a question that ends like this.
void abort(void) { __builtin_trap(); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  return __builtin_memcpy(to, from, size); // One instruction: -mbulk-memory.
}

void *memmove(void *to, const void *from, size_t size) {
  return __builtin_memmove(to, from, size);
}

void *memset(void *to, int byte, size_t size) { return __builtin_memset(to, byte, size); }

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (size_t i = 0; i < size; i++)
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

// The contract's type is put into the module when it becomes a component.
void __component_type_object_force_link_policy(void) {}
