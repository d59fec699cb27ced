/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * head_virt.c - where an arm64 kernel starts as Linux' Image does (Documentation/arch/arm64/booting.rst): a stack, and kernel() with the devicetree.
 */

/* The header: code, where to be loaded from a base of 2 MiB on, size in memory, flags: little-endian, 4 KiB pages, anywhere. */
__asm__(
    ".section .head, \"ax\"\n"
    ".globl _start\n"
    "_start:\n"
    "	b	1f\n"
    "	.word	0\n"
    "	.quad	0x200000\n"
    "	.quad	_end - . + 16\n"
    "	.quad	10\n"
    "	.quad	0, 0, 0\n"
    "	.ascii	\"ARM\\x64\"\n"
    "	.word	0\n"
    "1:	adrp	x1, stack_top\n"
    "	add	x1, x1, :lo12:stack_top\n"
    "	mov	sp, x1\n"
    "	bl	kernel\n"
    ".section .bss\n"
    ".balign 16\n"
    "	.skip	16384\n"
    "stack_top:\n"
    ".text\n");
