/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * create.h - new images.
 */
#ifndef _HYVE_BLOCK_CREATE_H_
#define	_HYVE_BLOCK_CREATE_H_

#include "block.h"

#define	QCOW2_SIZE_MAX	(16ULL << 40)	/* bytes of a disk that qcow2_create() makes */

/*
 * Make the file path, which must not be there: an image whose size bytes, a whole number of sectors, read as zeros and take no room.
 * Errors: EEXIST, EINVAL, EFBIG, those of open(2) and write(2); nothing is left then.
 */
int	raw_create(const char *path, uint64_t size);
/*
 * The same as a qcow2 image, version 3 with clusters of 64 KiB.  With backing, a file of backing_format as the image is to name it, what is not
 * written reads as that file does; whether it is there is the caller's to see.
 */
int	qcow2_create(const char *path, uint64_t size, const char *backing, enum block_format backing_format);

#endif /* _HYVE_BLOCK_CREATE_H_ */
