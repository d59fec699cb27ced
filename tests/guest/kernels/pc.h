/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc.h - a PC's ports, and its serial port.
 */
#ifndef _PC_H_
#define	_PC_H_

#include <stdint.h>

#define	COM1	0x3f8

#define	OUT(suffix, type)										\
static inline void											\
out##suffix(uint16_t port, type v)									\
{													\
	__asm__ volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port));				\
}
#define	IN(suffix, type)										\
static inline type											\
in##suffix(uint16_t port)										\
{													\
	type v;												\
													\
	__asm__ volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port));				\
	return (v);											\
}
OUT(b, uint8_t)
OUT(w, uint16_t)
OUT(l, uint32_t)
IN(b, uint8_t)
IN(w, uint16_t)
IN(l, uint32_t)
#undef OUT
#undef IN

/* A character, when the transmitter has room for it. */
static inline void
com1_put(char c)
{
	while ((inb(COM1 + 5) & 0x20) == 0)
		;
	outb(COM1, (uint8_t)c);
}

#endif /* _PC_H_ */
