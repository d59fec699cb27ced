/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loader.h - where loader.c puts things in guest memory.
 */
#ifndef _LOADER_H_
#define	_LOADER_H_

#define	LOADER_MARK	0x8000		/* the pattern */
#define	LOADER_GDT	0x9000
#define	LOADER_PT	0xa000		/* three pages */
#define	LOADER_CODE	0x10000
#define	LOADER_STACK	0x20000
#define	LOADER_RAX	0xa5a5

#endif /* _LOADER_H_ */
