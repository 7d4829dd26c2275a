# `cpack` in the build folder writes three Debian packages: heddle, libheddle0, libheddle-dev. Configure with
# -DCMAKE_INSTALL_PREFIX=/usr, so that libraries go to the multiarch folder.
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR CMAKE_CROSSCOMPILING)
  return()
endif()
set(HD_MAINTAINER "The Heddle authors <heddle@localhost>" CACHE STRING "Who answers for the packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "retrieval on one machine: vectors, index, search")
set(CPACK_PACKAGE_CONTACT "${HD_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL program library headers)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/hd_package_docs.cmake")
set(CPACK_HD_PACKAGING "${PROJECT_SOURCE_DIR}/packaging")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME heddle)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION web)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "libcurl4, libxml2") # opened when a model is pulled, when HTML is read
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "ca-certificates, poppler-utils") # pdftotext reads PDF
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "libhiredis0.14") # opened for --redis-url
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA "${CPACK_HD_PACKAGING}/postinst;${CPACK_HD_PACKAGING}/prerm")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "Heddle turns texts into embedding vectors on the CPU, indexes folders of
documents and finds passages in them, from the command line or as a server
that speaks the protocols of OpenAI, of text-embeddings-inference, Cohere,
Jina, llama.cpp and Ollama.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libheddle${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libxml2")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS "poppler-utils")
file(WRITE "${PROJECT_BINARY_DIR}/packaging/shlibs"
     "libheddle ${PROJECT_VERSION_MAJOR} libheddle${PROJECT_VERSION_MAJOR} (>= ${PROJECT_VERSION})\n")
file(WRITE "${PROJECT_BINARY_DIR}/packaging/triggers" "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA "${PROJECT_BINARY_DIR}/packaging/shlibs;${PROJECT_BINARY_DIR}/packaging/triggers")
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "Heddle turns texts into embedding vectors on the CPU. This is the library
that programs are linked with.")

set(CPACK_DEBIAN_HEADERS_PACKAGE_NAME libheddle-dev)
set(CPACK_DEBIAN_HEADERS_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_HEADERS_PACKAGE_DEPENDS "libheddle${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_HEADERS_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_HEADERS_DESCRIPTION "Heddle turns texts into embedding vectors on the CPU. This is what is
needed to build programs with it.")
include(CPack)
