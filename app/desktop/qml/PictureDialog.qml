import QtQuick
import QtQuick.Dialogs
import Olivine

FileDialog {
    title: qsTr("Add pictures")
    fileMode: FileDialog.OpenFiles
    nameFilters: [qsTr("Pictures (*.png *.jpg *.jpeg *.webp *.gif *.bmp *.tif *.tiff)"), qsTr("All files (*)")]
    onAccepted: App.tray.add_files(selectedFiles)
}
