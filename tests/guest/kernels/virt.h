/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt.h - the serial port of the arm64 machine virt (PL011 TRM, DDI 0183G, 3.3).
 */
#ifndef _VIRT_H_
#define	_VIRT_H_

#include "mmio.h"

#define	UART		0x09000000UL
#define	UART_FLAGS	(UART + 0x18)
#define	UART_RXFE	0x10U
#define	UART_TXFF	0x20U

/* A character, when the transmitter has room for it. */
static inline void
uart_put(char c)
{
	while ((rd(UART_FLAGS) & UART_TXFF) != 0)
		;
	wr(UART, (uint8_t)c);
}

#endif /* _VIRT_H_ */
