/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello.S - the demonstration payload for arm64: greet on the 16550, tick five times, power off.
 *
 * hyve payload loads and enters it at 0x40080000 at EL1 with SP_EL1, the MMU off and interrupts masked.  It uses only
 * moves, additions, comparisons, branches and byte accesses, so that the smallest interpreter runs it.
 */
#define	UART_HI		0x0900		/* the 16550 at 0x09000000, a register per byte */
#define	UART_LCR	3		/* its line control register */
#define	LCR_8N1		0x03		/* 8 bits, no parity, 1 stop bit; it starts with 5 bits */
#define	UART_LSR	5		/* its line status register */
#define	LSR_THRE	5		/* bit: the transmitter takes a byte (PC16550D data sheet 8.6.4) */
#define	POWER_HI	0x09ff		/* a byte 1 written to 0x09ff0000 powers the machine off */
#define	TICKS		5
#define	DELAY_HI	2		/* turns of an empty loop between two ticks, over 65536 */

/* The address of a symbol. */
	.macro	ADDR reg, sym
	movz	\reg, #:abs_g1:\sym
	movk	\reg, #:abs_g0_nc:\sym
	.endm

	.text
	.globl	_start
_start:
	movz	x5, #UART_HI, lsl #16
	movz	w4, #LCR_8N1
	strb	w4, [x5, #UART_LCR]
	ADDR	x1, greeting
	ADDR	x2, greeting_end
	movz	x6, #0				/* ticks so far; 0: the greeting is being printed */
	b	print

tick:
	movz	x3, #DELAY_HI, lsl #16
1:	sub	x3, x3, #1
	cbnz	x3, 1b
	add	x6, x6, #1
	add	x4, x6, #'0'			/* the digit goes into the text */
	ADDR	x1, digit
	strb	w4, [x1]
	ADDR	x1, ticking
	ADDR	x2, ticking_end
	b	print

last:
	add	x6, x6, #1
	ADDR	x1, farewell
	ADDR	x2, farewell_end

/* Send the bytes from X1 up to X2, then do what comes after that text. */
print:
	cmp	x1, x2
	b.eq	printed
2:	ldrb	w4, [x5, #UART_LSR]
	and	x4, x4, #(1 << LSR_THRE)
	cbz	x4, 2b
	ldrb	w4, [x1]
	strb	w4, [x5]
	add	x1, x1, #1
	b	print
printed:
	cmp	x6, #TICKS
	b.lo	tick
	b.eq	last

	movz	x5, #POWER_HI, lsl #16
	movz	w4, #1
	strb	w4, [x5]
3:	b	3b

greeting:
	.ascii	"Hello from an arm64 guest on hyve.\r\n"
greeting_end:
ticking:
	.ascii	"tick "
digit:
	.ascii	"0\r\n"
ticking_end:
farewell:
	.ascii	"That was all; powering off.\r\n"
farewell_end:
