/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * head_pc.c - where a PC's kernel starts by multiboot (specification 0.6.96, 3.1 and 3.2): a stack, and kernel() with the loader's information.
 */

__asm__(
    ".section .head, \"ax\"\n"
    ".align 4\n"
    ".long 0x1badb002, 0, -0x1badb002\n"
    ".globl _start\n"
    "_start:\n"
    "	movl	$stack_top, %esp\n"
    "	pushl	%ebx\n"
    "	call	kernel\n"
    ".section .bss\n"
    ".align 16\n"
    "	.skip	16384\n"
    "stack_top:\n"
    ".text\n");
