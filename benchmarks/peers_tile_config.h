// Put in front of llama.cpp's C++ files when it is built: GCC 12's _tile_loadconfig says that it reads 8 bytes of the
// 64, the compiler drops the stores to the others, and the first AMX product of a native build ends in a protection
// fault. Said right, llama.cpp's AMX buffers work. Nothing else is changed.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#if defined(__AMX_TILE__)
static inline void peers_tile_loadconfig(const void *config) {
    __asm__ volatile("ldtilecfg\t%0" ::"m"(*(const char(*)[64])config));
}
#undef _tile_loadconfig
#define _tile_loadconfig peers_tile_loadconfig
#endif
#endif
