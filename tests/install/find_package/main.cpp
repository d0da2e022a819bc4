// SPDX-License-Identifier: MIT
#include <asynctools/asynctools.h>

#include <string>

int main() {
    return std::string(at_version()) == AT_VERSION_TEXT ? 0 : 1;
}
