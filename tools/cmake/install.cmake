# SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)

install(TARGETS asynctools EXPORT asynctools_targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/asynctools")
install(EXPORT asynctools_targets
    NAMESPACE asynctools::
    FILE asynctools-targets.cmake
    DESTINATION "${package_folder}")

if(BUILD_SHARED_LIBS)
    set(asynctools_is_static OFF)
else()
    set(asynctools_is_static ON)
endif()
configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/tools/cmake/asynctools-config.cmake.in"
    "${PROJECT_BINARY_DIR}/asynctools-config.cmake"
    INSTALL_DESTINATION "${package_folder}")
# Before 1.0 a new minor version may change what is called.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/asynctools-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/asynctools-config.cmake"
    "${PROJECT_BINARY_DIR}/asynctools-config-version.cmake"
    DESTINATION "${package_folder}")

# pkg-config finds the prefix from where its own file lies, so the tree may be moved.
file(RELATIVE_PATH pkg_config_up
    "/root/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/root")
configure_file("${PROJECT_SOURCE_DIR}/tools/cmake/asynctools.pc.in"
    "${PROJECT_BINARY_DIR}/asynctools.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/asynctools.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
