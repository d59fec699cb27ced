/* SPDX-License-Identifier: BSD-2-Clause */
/* An Image (Linux's Documentation/arch/arm64/booting.rst, 4) that switches the machine off with its first instructions. */
	.globl	_start
	.section .text
_start:
	b	1f
	.long	0
	.quad	0			/* load offset */
	.quad	end - _start		/* size */
	.quad	0xa			/* little endian, 4K pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	movz	w0, #0x8400, lsl #16	/* SYSTEM_OFF (PSCI 1.1, 5.9) */
	movk	w0, #8
	hvc	#0
2:	wfi
	b	2b
end:
