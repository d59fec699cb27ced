/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvstore.h - the file behind a flash chip: what is in it after a crash is what was in the chip at some moment, whole.
 *
 * Blocks that changed are written together: into a journal beside the file (PATH.journal), which is made durable, then into the file.
 * A crash before the journal is durable leaves the old content; after that, the next open finishes the work.  The file is locked
 * while it is open, and the journal is gone after a clean close.
 */
#ifndef _HYVE_NVSTORE_H_
#define	_HYVE_NVSTORE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	NVSTORE_BLOCK	4096U

struct nvstore;

/*
 * Open path, finishing what a crash left undone.  Written files have size bytes, a multiple of NVSTORE_BLOCK; read-only ones at most that,
 * and may be shared by VMs.  A file that is to be written and does not exist is made, with the bytes of template_path in front and
 * zeros behind; NULL: all zeros.
 *
 * NULL with a sentence: EBUSY (another VM has it), EINVAL (no file, or of another size), EFBIG, ENOMEM, those of open(2).
 * Control thread.
 */
struct nvstore *nvstore_open(const char *path, const char *template_path, uint64_t size, bool readonly);
/* Bytes of the file. */
uint64_t nvstore_size(const struct nvstore *nv);
/* Whether nvstore_open() made the file. */
bool	nvstore_is_new(const struct nvstore *nv);

/* Read all of it into buf, which is zeroed and stays so where the file has zeros.  -1 with a sentence. */
int	nvstore_read(struct nvstore *nv, uint8_t *buf);

/*
 * Make the file have these n blocks of NVSTORE_BLOCK bytes at the numbers in block[], all of them or none, and durable when it returns.
 * -1 with a sentence, after which the file is what it was or will be by the next success or open.  One thread at a time.
 */
int	nvstore_write(struct nvstore *nv, size_t n, const uint64_t *block, const uint8_t *data);

/* NULL is ignored. */
void	nvstore_close(struct nvstore *nv);

#endif /* _HYVE_NVSTORE_H_ */
