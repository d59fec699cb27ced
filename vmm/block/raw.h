/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw.h - a file or device that is an image, for who knows other ways to it than the store's functions.
 */
#ifndef _HYVE_BLOCK_RAW_H_
#define	_HYVE_BLOCK_RAW_H_

#include "direct.h"
#include "store.h"

struct raw {
	int		 fd;
	bool		 device;	/* and no file */
	struct direct	 direct;	/* .align 0: by the host's cache */
	struct device	*dev;		/* NULL */
	char		*path;
};

/* How fallocate(2) makes zeros, and by true how it gives space back. */
int	raw_zero_mode(bool unmap);
/* Whether error says that it cannot do that, so that zeros are to be written. */
bool	raw_zero_cannot(int error);

#endif /* _HYVE_BLOCK_RAW_H_ */
