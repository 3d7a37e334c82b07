/* What every file of the package sees of libimgroup. */
#ifndef IMGROUP_GO_BINDING_H
#define IMGROUP_GO_BINDING_H

#include <stdlib.h>

#include <imgroup.h>

/* Before 1.0 another minor version is another ABI. */
#if IMGROUP_VERSION_MAJOR != 0 || IMGROUP_VERSION_MINOR != 1
#error "this package is for libimgroup 0.1, and the imgroup.h found is of another version; see README.md"
#endif

#endif
